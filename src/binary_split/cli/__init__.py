"""The command line. Commands are imported only when they run: ``--help`` stays under 100 ms."""
