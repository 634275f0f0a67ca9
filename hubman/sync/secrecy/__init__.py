"""What keeps strangers from reading a remote or writing to it: sealing, signing, and who has the key."""
