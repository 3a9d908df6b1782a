"""The use cases: `visits` (from events), `redemptions`, `adjustments`, `cafes` (programs, new calendars, erasure) and
`periodic` (expiry, recounts). `guests` is what they share: load, count, write."""
