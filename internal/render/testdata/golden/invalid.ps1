$global:LASTEXITCODE = 2; throw 'goproxy-setup: nothing was exported (exit status 2)'
