"""Reports of mails that came back, in the shape in which each kind of server writes them."""

from __future__ import annotations

QUOTED = "From: Likeness <likeness@example.com>\nTo: nadia@zebra.example\nMessage-ID: <{mail}@example.com>\nSubject: Hello\n\nhttps://here/i/secret\n"

POSTFIX = """Return-Path: <>
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="A1.1/mx.example.com"

This is a MIME-encapsulated message.

--A1.1/mx.example.com
Content-Description: Notification
Content-Type: text/plain; charset=utf-8

<nadia@zebra.example>: host mx.zebra.example[192.0.2.1] said: 550 5.1.1 unknown

--A1.1/mx.example.com
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: A1
Arrival-Date: Mon, 30 Nov 2026 10:00:00 +0000 (UTC)

Final-Recipient: rfc822; nadia@zebra.example
Original-Recipient: rfc822;nadia@zebra.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.zebra.example
Diagnostic-Code: smtp; 550 5.1.1 <nadia@zebra.example>: Recipient address
    rejected: User unknown

--A1.1/mx.example.com
Content-Description: Undelivered Message
Content-Type: message/rfc822

""" + QUOTED + "\n--A1.1/mx.example.com--\n"  # fmt: skip

POSTFIX_DELAYED = POSTFIX.replace("Action: failed", "Action: delayed").replace("5.1.1", "4.4.1").replace("550", "451")

EXIM = """From: Mail Delivery System <Mailer-Daemon@mx.example.com>
To: {to}
X-Failed-Recipients: nadia@zebra.example
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary=1700-eximdsn
MIME-Version: 1.0

--1700-eximdsn
Content-type: text/plain; charset=us-ascii

  nadia@zebra.example
    host mx.zebra.example [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<nadia@zebra.example>:
    552 5.2.2 Over quota

--1700-eximdsn
Content-type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Action: failed
Final-Recipient: rfc822;nadia@zebra.example
Status: 5.0.0
Remote-MTA: dns; mx.zebra.example
Diagnostic-Code: smtp; 552 5.2.2 Over quota

--1700-eximdsn
Content-type: text/rfc822-headers

Return-path: <{to}>
Message-ID: <{mail}@example.com>

--1700-eximdsn--
"""

EXCHANGE = """From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@zebra.example>
To: <{to}>
Subject: Undeliverable: Hello
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="f9a2"
MIME-Version: 1.0

--f9a2
Content-Type: multipart/alternative; differences=Content-Type; boundary="f9a3"

--f9a3
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

Your message to nadia@zebra.example couldn't be delivered.

--f9a3
Content-Type: text/html; charset="us-ascii"

<p>nadia wasn't found at zebra.example.</p>

--f9a3--

--f9a2
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR00MB0001.eurprd00.prod.outlook.com
Received-From-MTA: dns;mx.example.com
Arrival-Date: Mon, 30 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822;nadia@zebra.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient nadia@zebra.example not found by SMTP address
 lookup

--f9a2
Content-Type: message/rfc822

""" + QUOTED + "\n--f9a2--\n"  # fmt: skip

GMAIL = """Delivered-To: {to}
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: likeness@example.com
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
X-Failed-Recipients: nadia@zebra.example
Content-Type: multipart/report; boundary="000000000000aa"; report-type=delivery-status
MIME-Version: 1.0

--000000000000aa
Content-Type: multipart/related; boundary="000000000000ab"

--000000000000ab
Content-Type: text/plain; charset="UTF-8"

** Message blocked **

--000000000000ab--
--000000000000aa
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
X-Original-Message-ID: <other@mx.google.com>

Final-Recipient: rfc822; nadia@zebra.example
Action: failed
Status: 5.7.1
Remote-MTA: dns; mx.zebra.example. (192.0.2.1, the server for the domain zebra.example.)
Diagnostic-Code: smtp; 550-5.7.1 [192.0.2.9] Our system has detected that this
 550 5.7.1 message is likely unsolicited mail.

--000000000000aa--
"""

SES = """From: MAILER-DAEMON@amazonses.com
To: {to}
Subject: Delivery Status Notification (Failure)
Content-Type: multipart/report; boundary="=_a"; report-type=delivery-status
MIME-Version: 1.0

--=_a
Content-Type: text/plain; charset=us-ascii

An error occurred while trying to deliver the mail to the following recipients:
nadia@zebra.example
--=_a
Content-Type: message/delivery-status

Reporting-MTA: dns; a1.smtp-out.amazonses.com

Action: failed
Final-Recipient: rfc822; nadia@zebra.example
Diagnostic-Code: smtp; 550 5.1.1 user unknown
Status: 5.1.1


--=_a--
"""

OLD = """From: MAILER-DAEMON@mx.example.com
To: {to}
X-Failed-Recipients: nadia@zebra.example
Subject: failure notice

Hi. Sorry it didn't work out.
<nadia@zebra.example>: 550 5.1.1 no such user
"""

AWAY = """From: Nadia <nadia@zebra.example>
To: {to}
Subject: Out of office
Auto-Submitted: auto-replied

I am away until 550 5.1.1.
"""
