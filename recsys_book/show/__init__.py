"""What the book shows, and how: claims, figures, the set-up cell and the explorers of maps."""
