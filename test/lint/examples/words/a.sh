[ "$#" -gt 0 ]	# but for
echo "who is to be asked"
setpriv --reuid=nobody true
