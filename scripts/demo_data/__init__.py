"""What scripts/make_demo_data.py draws: the cases, the paper they are written on, the scenes, the scanner."""
