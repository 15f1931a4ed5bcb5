"""What a number is, said once: every report asks these lists and names no quantity itself."""
