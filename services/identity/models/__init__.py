"""What identity is asked, what it answers, and which logins and passwords it takes."""
