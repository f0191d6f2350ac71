// The step goproxySetup; its help is goproxySetup.txt.
//
// The program goproxy-setup decides everything. This file only carries options
// to it and its answer back: through environment variables and NAME=value
// lines, so that no text from outside becomes part of a script.

def call(Closure body) {
    return call([:], body)
}

def call(Map options = [:], Closure body = null) {
    String unknown = (options.keySet() - names().keySet() - 'tool').join(', ')
    if (unknown) {
        error('goproxySetup has no option ' + unknown + '; it has tool, ' + names().keySet().join(', '))
    }
    List<String> given = variables(options)
    if (options.tool) {
        given.add('GOPROXY_SETUP_BINARY=' + tool(options.tool) + '/goproxy-setup')
    }
    String files = '.goproxy-setup/' + UUID.randomUUID()
    try {
        List<String> settings = choose(given, files)
        if (body) {
            return withEnv(settings, body)
        }
        return asMap(settings)
    } finally {
        if (body && options.agent == 'background') {
            withEnv(['GOPROXY_SETUP_FILES=' + files]) {
                sh(label: 'goproxy-setup agent', script: libraryResource('goproxy-setup/stop.sh'))
            }
        }
    }
}

/** Runs the program, marks the build, and returns the settings as NAME=value. */
private List<String> choose(List<String> given, String files) {
    int status = withEnv(given + ['GOPROXY_SETUP_FILES=' + files]) {
        sh(label: 'goproxy-setup', returnStatus: true, script: libraryResource('goproxy-setup/setup.sh'))
    }
    if (status != 0 && status != 78) {
        error('goproxy-setup failed with exit code ' + status + ': its log above says what to do')
    }
    List<String> settings = readFile(file: files + '.env', encoding: 'UTF-8').tokenize('\n')
    if (status == 78) {
        mark('goproxy-setup: ' + asMap(settings).GOPROXY_RESULT_REASON, files + '.json')
    }
    return settings
}

/** Makes the use of a fallback visible on the build page. */
private void mark(String reason, String issuesFile) {
    unstable(reason)
    String description = currentBuild.description ?: ''
    if (!description.contains(reason)) {
        currentBuild.description = description ? description + '\n' + reason : reason
    }
    try {
        recordIssues(tool: issues(id: 'goproxy-setup', name: 'goproxy-setup', pattern: issuesFile))
    } catch (NoSuchMethodError ignored) {
        echo 'goproxy-setup: the plugin Warnings would list the findings on the build page'
    } catch (IllegalStateException ignored) {
        echo 'goproxy-setup: the build page lists the findings of an earlier goproxySetup'
    }
}

/** The options, and the variable in which each travels to the program. */
@NonCPS
private Map<String, String> names() {
    return [
        environment     : 'GOPROXY_SETUP_ENVIRONMENT',
        policy          : 'GOPROXY_SETUP_POLICY',
        chain           : 'GOPROXY_SETUP_CHAIN',
        private         : 'GOPROXY_SETUP_PRIVATE',
        goSum           : 'GOPROXY_SETUP_GO_SUM',
        timeout         : 'GOPROXY_SETUP_TIMEOUT',
        strategy        : 'GOPROXY_SETUP_STRATEGY',
        onFallback      : 'GOPROXY_SETUP_ON_FALLBACK',
        fallbackExitCode: 'GOPROXY_SETUP_FALLBACK_EXIT_CODE',
        preflight       : 'GOPROXY_SETUP_PREFLIGHT',
        askAll          : 'GOPROXY_SETUP_ASK_ALL',
        agent           : 'GOPROXY_SETUP_AGENT',
        store           : 'GOPROXY_SETUP_STORE',
        override        : 'GOPROXY_SETUP_OVERRIDE',
        credentialHost  : 'GOPROXY_SETUP_CREDENTIAL_HOST',
        allowDowngrade  : 'GOPROXY_SETUP_ALLOW_DOWNGRADE',
        binary          : 'GOPROXY_SETUP_BINARY',
        binaryUrl       : 'GOPROXY_SETUP_BINARY_URL',
        binarySha256    : 'GOPROXY_SETUP_BINARY_SHA256',
    ]
}

/** Returns the options that were given as NAME=value. */
@NonCPS
private List<String> variables(Map options) {
    List<String> list = []
    for (name in names()) {
        def value = options[name.key]
        if (value != null && value != '') {
            list.add(name.value + '=' + value)
        }
    }
    return list
}

/** Splits each line at its first equals sign. */
@NonCPS
private Map<String, String> asMap(List<String> lines) {
    Map<String, String> map = [:]
    for (line in lines) {
        int equals = line.indexOf('=')
        map[line.substring(0, equals)] = line.substring(equals + 1)
    }
    return map
}
