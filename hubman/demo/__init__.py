"""The whole loop on one machine, with nothing from outside: sandbox, pull, train, sweep, publish, sync, report."""
