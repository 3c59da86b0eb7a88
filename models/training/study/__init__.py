"""The claims that this product is built on, tested on its own task: docs/studies/hybrid.md."""
