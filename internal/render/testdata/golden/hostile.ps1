$env:GOPROXY = 'https://mirror.example.com/it''s|direct'
$env:GOPRIVATE = '$(touch pwned)|"a"'
