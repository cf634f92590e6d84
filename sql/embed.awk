# Makes a C table of the files named: the program carries them, so that it finds them wherever it
# runs from.  Used by sql/Makefile.inc; shared/shipped.h has the table's form.
BEGIN {
	print "/* Made by sql/embed.awk; do not edit. */"
	print "#include \"shared/shipped.h\""
	print ""
	print "const struct shipped_file shipped_files[] = {"
}
FNR == 1 {
	if (NR > 1)
		print "\t},"
	name = FILENAME
	sub(/^sql\//, "", name)
	printf "\t{ \"%s\",\n", name
}
{
	gsub(/\\/, "\\\\")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	gsub(/\?/, "\\?")
	printf "\t    \"%s\\n\"\n", $0
}
END {
	print "\t},"
	print "};"
	print "const size_t shipped_count = sizeof(shipped_files) / sizeof(shipped_files[0]);"
}
