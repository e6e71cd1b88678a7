"""What the black-box tests are made of: real processes, real clients, and a network that can be broken on purpose."""
