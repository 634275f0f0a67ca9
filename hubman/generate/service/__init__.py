"""The one engine process of a machine: where it is reached, who starts it, how it shares itself among its clients."""
