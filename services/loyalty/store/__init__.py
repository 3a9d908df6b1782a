"""Every statement of loyalty: `programs`, `accounts`, `visits`, `ledger` (with the lots), `redemptions`, `adjustments`,
`audit`."""
