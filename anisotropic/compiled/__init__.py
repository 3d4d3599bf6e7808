"""What are kernels made of? Compiled leaves, elementary functions without libm, counter-based random numbers."""
