# Makes the document of deploy/docker/sbom from its lines:
#   C|name|version|sha256                      a crate's checksum
#   T|depth|name vVERSION …|licence|repository one place in the tree of crates, parents first
#   D|name|version|architecture                a Debian package

function quoted(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/"/, "\\\"", text)
    return "\"" text "\""
}

# Sorts what `list` has at 1 … `count`. Some hundred entries, so the simplest way will do.
function sort(list, count,    i, j, kept) {
    for (i = 2; i <= count; i++) {
        kept = list[i]
        for (j = i - 1; j >= 1 && list[j] > kept; j--) list[j + 1] = list[j]
        list[j + 1] = kept
    }
}

# `+` stands for a space in some places of a URL, and Debian's versions may have one.
function escaped(text) {
    gsub(/\+/, "%2B", text)
    gsub(/~/, "%7E", text)
    return text
}

function licences(expression) {
    if (expression == "") return ""
    # Older crates write the choice as `MIT/Apache-2.0`.
    gsub(/ *\/ */, " OR ", expression)
    return ", \"licenses\": [{\"expression\": " quoted(expression) "}]"
}

function component(id,    text) {
    text = "{\"type\": \"library\", \"bom-ref\": " quoted(id) ", \"name\": " quoted(name[id])
    text = text ", \"version\": " quoted(version[id]) licences(licence[id]) ", \"purl\": " quoted(id)
    if ((name[id], version[id]) in sum)
        text = text ", \"hashes\": [{\"alg\": \"SHA-256\", \"content\": \"" sum[name[id], version[id]] "\"}]"
    if (repository[id] ~ /^https?:/)
        text = text ", \"externalReferences\": [{\"type\": \"vcs\", \"url\": " quoted(repository[id]) "}]"
    return text "}"
}

# What a package needs, in order, as an entry of `dependencies`.
function needs(id,    needed, count, each, text, i) {
    count = split(below[id], needed, " ")
    sort(needed, count)
    for (i = 1; i <= count; i++) text = text (i > 1 ? ", " : "") quoted(needed[i])
    return "{\"ref\": " quoted(id) ", \"dependsOn\": [" text "]}"
}

# Everything below a package that was not seen yet, into `found`.
function collect(id,    needed, count, i) {
    if (id in seen) return
    seen[id] = 1
    found[++founds] = id
    count = split(below[id], needed, " ")
    for (i = 1; i <= count; i++) collect(needed[i])
}

$1 == "C" { sum[$2, $3] = $4 }

# A blank line stands between the trees of two programs.
$1 == "T" && $2 != "" {
    depth = $2 + 0
    split($3, words, " ")
    id = "pkg:cargo/" words[1] "@" substr(words[2], 2)
    if (!(id in name)) {
        name[id] = words[1]
        version[id] = substr(words[2], 2)
        licence[id] = $4
        repository[id] = $5
        sub(/ \(\*\)$/, "", licence[id])
        sub(/ \(\*\)$/, "", repository[id])
    }
    at[depth] = id
    if (depth > 0 && !((at[depth - 1], id) in edge)) {
        edge[at[depth - 1], id] = 1
        below[at[depth - 1]] = below[at[depth - 1]] " " id
    }
    if (depth == 0 && words[1] == program) subject = id
}

$1 == "D" {
    id = "pkg:deb/debian/" $2 "@" escaped($3) "?arch=" $4
    name[id] = $2
    version[id] = $3
    debian[++debians] = id
}

END {
    if (subject == "") {
        print "no program is called " program > "/dev/stderr"
        exit 1
    }
    collect(subject)
    for (i = 1; i <= debians; i++) {
        below[subject] = below[subject] " " debian[i]
        collect(debian[i])
    }
    sort(found, founds)
    print "{"
    print "  \"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\", \"version\": 1,"
    print "  \"metadata\": {\"component\": {\"type\": \"application\", \"bom-ref\": " quoted(subject) ","
    print "    \"name\": " quoted(program) ", \"version\": " quoted(version[subject]) licences(licence[subject]) "}},"
    print "  \"components\": ["
    for (i = 1; i <= founds; i++)
        if (found[i] != subject) lines[++count] = "    " component(found[i])
    for (i = 1; i <= count; i++) print lines[i] (i < count ? "," : "")
    print "  ],"
    print "  \"dependencies\": ["
    for (i = 1; i <= founds; i++) print "    " needs(found[i]) (i < founds ? "," : "")
    print "  ]"
    print "}"
}
