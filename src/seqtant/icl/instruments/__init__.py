"""What each verb of the room does, one file per verb."""
