"""The verbs, one module each: `run` takes a verb's settings, the function of the verb's name takes keywords."""
