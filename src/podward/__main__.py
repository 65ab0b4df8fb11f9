from podward.cli.main import main

main()
