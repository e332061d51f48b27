// Empty: kernel.h has what kernels need of it.
