"""What methods share: directions, scales, control of step lengths, when to stop."""
