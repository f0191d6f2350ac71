// Runs pipeline scripts against a shared library outside Jenkins: the steps
// that the library uses, really executing, as Jenkins' documentation and source
// describe them. It is not Jenkins: programs are not suspended and resumed, so
// it checks what can be checked of that instead: what a step is given and what
// the library returns is serializable, and no @NonCPS method reaches a step.
//
//   groovy harness.groovy LIBRARY RUNS.json RESULTS.json
//
// A run is {name, script, workspace, environment, plugins, tools}; a result
// {name, result, description, log, issues}.

import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer

/** What "error" throws. */
class AbortException extends Exception {
    AbortException(String message) { super(message) }
}

/** The state of one build. */
class Build {
    File library
    File workspace
    GroovyShell shell
    Map<String, String> environment
    List<String> plugins
    Map<String, String> tools
    String result = 'SUCCESS'
    String description
    Map<String, Object> issues = [:]
    ByteArrayOutputStream log = new ByteArrayOutputStream()
    Map<String, Script> vars = [:]

    void say(text) { log.write((text + '\n').getBytes('UTF-8')) }

    void mark(String worse) {
        if (['SUCCESS', 'UNSTABLE', 'FAILURE'].with { indexOf(worse) > indexOf(result) }) {
            result = worse
        }
    }

    /** Jenkins' rules for withEnv: an empty value unsets, NAME+ANY prepends. */
    Map<String, String> overlaid(List list) {
        def merged = new LinkedHashMap<String, String>(environment)
        list.each { pair ->
            int equals = pair.indexOf('=')
            if (equals < 0) { throw new IllegalArgumentException(pair as String) }
            String name = pair.substring(0, equals)
            String value = pair.substring(equals + 1)
            int plus = name.indexOf('+')
            if (plus > 0) {
                name = name.substring(0, plus)
                value = [value, merged[name]].findAll { it }.join(':')
            }
            if (value) { merged[name] = value } else { merged.remove(name) }
        }
        return merged
    }
}

/** The global variable "env". */
class Env {
    Build build
    def getProperty(String name) {
        return name == 'build' ? this.@build : this.@build.environment[name]
    }
}

/** The steps; pipelines and the library's scripts extend it. */
abstract class Steps extends Script {
    private Build build() { return binding.getVariable('build') as Build }

    /** Jenkins can stop at every step and go on after a restart of the controller. */
    private void enter(String step, Object... arguments) {
        def frames = new Throwable().stackTrace
        build().vars.values()*.class*.declaredMethods.flatten().each { method ->
            boolean nonCPS = method.annotations.any { it.annotationType().simpleName == 'NonCPS' }
            if (nonCPS && frames.any { it.methodName == method.name || it.className.contains('$_' + method.name + '_closure') }) {
                throw new IllegalStateException('the @NonCPS method ' + method.name + ' reaches the step ' + step)
            }
        }
        arguments.each { Steps.save(it) }
    }

    /** Fails if Jenkins could not write the value to disk. */
    static void save(value) { new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(value) }

    def sh(String script) { return sh(script: script) }

    def sh(Map options) {
        enter('sh', options)
        if (options.script.class != String) {
            throw new IllegalStateException('sh: the script is put together from pieces: ' + options.script)
        }
        Build b = build()
        File file = File.createTempFile('script', '.sh')
        file.setText(options.script, 'UTF-8')
        file.executable = true
        def command = options.script.startsWith('#!') ? [file.path] : ['sh', '-xe', file.path]
        def process = new ProcessBuilder(command)
        process.environment().clear()
        process.environment().putAll(b.environment)
        process.directory(b.workspace)
        process.redirectErrorStream(!options.returnStdout)
        def running = process.start()
        running.outputStream.close()
        def out = options.returnStdout ? new ByteArrayOutputStream() : b.log
        running.waitForProcessOutput(out, b.log)
        file.delete()
        int status = running.exitValue()
        if (options.returnStatus) { return status }
        if (status != 0) { throw new AbortException('script returned exit code ' + status) }
        return options.returnStdout ? out.toString('UTF-8') : null
    }

    def withEnv(List list, Closure body) {
        enter('withEnv', list)
        Build b = build()
        def outer = b.environment
        b.environment = b.overlaid(list)
        try {
            return body.call()
        } finally {
            b.environment = outer
        }
    }

    def readFile(Map options) {
        enter('readFile', options)
        return new File(build().workspace, options.file as String).getText(options.encoding ?: 'UTF-8')
    }

    def writeFile(Map options) {
        enter('writeFile', options)
        new File(build().workspace, options.file as String).setText(options.text as String, 'UTF-8')
        return null
    }

    def libraryResource(String path) {
        enter('libraryResource', path)
        File file = new File(build().library, 'resources/' + path)
        if (!file.file) { throw new AbortException('No such library resource ' + path + ' could be found.') }
        return file.getText('UTF-8')
    }

    def tool(String name) {
        enter('tool', name)
        if (!build().tools[name]) { throw new AbortException('No tool named ' + name + ' found') }
        return build().tools[name]
    }

    def echo(Object message) { enter('echo', message as String); build().say(message); return null }

    def error(Object message) { enter('error', message as String); throw new AbortException(message as String) }

    def unstable(Object message) {
        enter('unstable', message as String)
        build().say('WARNING: ' + message)
        build().mark('UNSTABLE')
        return null
    }

    def issues(Map options) { plugin('issues', 'warnings-ng'); return new LinkedHashMap(options) }

    def recordIssues(Map options) {
        plugin('recordIssues', 'warnings-ng')
        enter('recordIssues', options)
        Map tool = options.tool as Map
        if (build().issues.containsKey(tool.id)) {
            throw new IllegalStateException('ID ' + tool.id + ' is already used by another action: x')
        }
        build().issues[tool.id as String] = new JsonSlurper().parse(new File(build().workspace, tool.pattern as String))
        return null
    }

    private void plugin(String step, String name) {
        if (!build().plugins.contains(name)) { throw new NoSuchMethodError("No such DSL method '${step}' found among steps") }
    }

    /** Declarative pipelines, as far as examples use them. The docker agent is this machine. */
    def pipeline(Closure body) { return body.call() }
    def agent(Closure body) { return null }
    def stages(Closure body) { return body.call() }
    def stage(String name, Closure body) { return body.call() }
    def steps(Closure body) { return body.call() }

    def environment(Closure body) {
        Map set = new LinkedHashMap(build().environment)
        body.delegate = set
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
        build().environment = set.collectEntries { name, value -> [(name): value as String] }
        return null
    }

    /** The library is the one at hand, wherever an example retrieves it from. */
    def library(Map options) { return options.retriever }

    def modernSCM(Map options) {
        if (!build().library.path.endsWith(new File(options.libraryPath as String).path)) {
            throw new AbortException('there is no library in ' + options.libraryPath)
        }
        return options.scm
    }

    /** The library's own steps, one script in "vars" each. */
    def methodMissing(String name, arguments) {
        Build b = build()
        File file = new File(b.library, 'vars/' + name + '.groovy')
        if (!file.file) { throw new NoSuchMethodError("No such DSL method '" + name + "' found among steps") }
        def script = b.vars.computeIfAbsent(name) { b.shell.parse(file) }
        script.binding = binding
        def value = script.invokeMethod('call', arguments)
        Steps.save(value)
        return value
    }
}

def run(File library, Map spec) {
    def loader = new GroovyClassLoader(this.class.classLoader)
    loader.parseClass('''
        package com.cloudbees.groovy.cps
        import java.lang.annotation.*
        @Retention(RetentionPolicy.RUNTIME) @Target(ElementType.METHOD) @interface NonCPS { }
    ''')
    def configuration = new CompilerConfiguration(scriptBaseClass: 'Steps')
    configuration.addCompilationCustomizers(new ImportCustomizer().addImports('com.cloudbees.groovy.cps.NonCPS'))
    def build = new Build(library: library, workspace: new File(spec.workspace as String), plugins: spec.plugins ?: [],
        tools: spec.tools ?: [:], environment: new LinkedHashMap<String, String>(spec.environment as Map))
    def binding = new Binding(build: build, env: new Env(build: build), currentBuild: build)
    build.shell = new GroovyShell(loader, binding, configuration)
    try {
        build.shell.evaluate(spec.script as String, 'Jenkinsfile.groovy')
    } catch (AbortException e) {
        build.say('ERROR: ' + e.message)
        build.mark('FAILURE')
    } catch (Throwable e) {
        def trace = new StringWriter()
        e.printStackTrace(new PrintWriter(trace))
        build.say('BROKEN: ' + trace)
        build.mark('FAILURE')
    }
    return [name: spec.name, result: build.result, description: build.description, issues: build.issues,
        log: build.log.toString('UTF-8')]
}

def (library, runs, results) = args.collect { new File(it) }
results.setText(JsonOutput.toJson(new JsonSlurper().parse(runs, 'UTF-8').collect { run(library, it as Map) }), 'UTF-8')
