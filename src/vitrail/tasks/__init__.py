"""What is learned, a folder a task: settings, recipes, loss, metrics, prediction and figures."""
