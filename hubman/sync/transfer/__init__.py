"""How files move: what is sent and fetched at once, what holds it, and where it comes to lie."""
