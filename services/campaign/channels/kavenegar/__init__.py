"""Kavenegar."""
