"""Which machines there are: nodes, groups, variables and the target language."""
