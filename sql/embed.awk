# Makes a C table of the files named: the program carries them, so that it finds them wherever it
# runs from.  Used by sql/Makefile.inc and agent/Makefile.inc; shared/shipped.h has the table's form,
# -v table=NAME its name, "shipped" without.
BEGIN {
	if (table == "")
		table = "shipped"
	print "/* Made by sql/embed.awk; do not edit. */"
	print "#include \"shared/shipped.h\""
	print ""
	printf "extern const struct shipped_file %s_files[];\n", table
	printf "extern const size_t %s_count;\n\n", table
	printf "const struct shipped_file %s_files[] = {\n", table
}
FNR == 1 {
	if (NR > 1)
		print "\t},"
	name = FILENAME
	sub(/^sql\//, "", name)
	printf "\t{ \"%s\",\n", name
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\"")
	gsub(/\t/, "\\t")
	gsub(/\?/, "\\?")
	printf "\t    \"%s\\n\"\n", $0
}
END {
	print "\t},"
	print "};"
	printf "const size_t %s_count = sizeof(%s_files) / sizeof(%s_files[0]);\n", table, table, table
}
