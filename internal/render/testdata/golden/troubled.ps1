$global:LASTEXITCODE = 1; throw 'goproxy-setup: nothing was exported (exit status 1)'
