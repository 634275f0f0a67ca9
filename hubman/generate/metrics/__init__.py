"""What pictures say in numbers, with numpy alone: how much a LoRA changes them, towards what, and whether it burns them."""
