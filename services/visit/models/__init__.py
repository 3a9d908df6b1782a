"""What tills and staff ask and are answered (`http`), and what the visit service passes on (`values`)."""
