"""The Persian kit: phone numbers, text, money and the calendar. Pure functions, no input or output."""
