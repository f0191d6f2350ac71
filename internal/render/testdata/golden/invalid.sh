(exit 2)
