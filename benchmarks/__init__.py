"""What is fast enough, measured: `python -m benchmarks`. README.md beside this file holds the figures and how to repeat them."""
