"""A generated catalogue: thousands of models whose files and pictures are made when somebody asks for them."""
