export GOPROXY='https://mirror.example.com/it'\''s|direct'
export GOPRIVATE='$(touch pwned)|"a"'
