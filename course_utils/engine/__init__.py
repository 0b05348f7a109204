"""What makes the lessons' trainings fast, watched and never done twice, around the loop of `training`."""
