"""What stands on the disk: Thalweg's directories beside Apache Kafka's, and directories that Kafka wrote, kept for ever."""
