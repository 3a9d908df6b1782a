import { readFileSync } from 'node:fs'
import parserModule from '@asyncapi/parser'
const { Parser } = parserModule
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'))
for (const each of diagnostics) console.log(['error', 'warning', 'info', 'hint'][each.severity], each.code, each.path.join('.'), each.message)
if (!document || diagnostics.some((each) => each.severity === 0)) process.exit(1)
console.log(`${document.allMessages().length} messages, ${document.allChannels().length} channels, ${document.allOperations().length} operations`)
