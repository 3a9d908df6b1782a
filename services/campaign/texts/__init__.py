"""What messages say: templates, what people may write, and how many parts an operator bills."""
