"""Who takes the steps: optimizers, rates, running means, and the state to go on from."""
