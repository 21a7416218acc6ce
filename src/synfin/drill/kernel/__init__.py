"""The Linux kernel under test, in a namespace of its own and in real time."""
