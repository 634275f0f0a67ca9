"""A local Civitai with the site's wire contract, on loopback: for rehearsals, the demo and the tests."""
