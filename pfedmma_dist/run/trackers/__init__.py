"""Trackers that a run tells its numbers to beside TensorBoard: Weights & Biases, MLflow, Aim."""
