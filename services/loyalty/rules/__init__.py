"""What follows from what, without database or clock: `programs`, `tiers` (points, standing), `lots`, `ledger`."""
