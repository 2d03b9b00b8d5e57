"""What a fit varies, and what is known of it: names, bounds, ties and priors."""
