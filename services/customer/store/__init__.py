"""Every SQL statement of the service. Writers of a guest's rows lock the guest's activity row first."""
