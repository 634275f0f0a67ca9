"""What a training can be told, section by section; every field's type carries its range and why it is as it is."""
