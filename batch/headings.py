"""The headings of a roster: which column holds what, in several languages and despite typing errors."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from batch.cells import apart

FIELDS = ("employee_key", "full_name", "email", "department", "site", "manager_email", "language")
REQUIRED = ("full_name", "email")
# Many files hold a name in two columns; they are joined, never the other way round.
NAME_PARTS = ("given_name", "family_name")

NAMES: dict[str, str] = {
    "employee_key": """
        employee id|employee number|employee no|employee key|employee|id|emp id|staff id|staff number|
        person id|personnel number|payroll number|worker id|user id|uid|personalnummer|personal nr|pers nr|
        mitarbeiternummer|mitarbeiter id|mitarbeiter nr|matricule|numéro employé|id employé|
        número de empleado|id empleado|legajo|número do funcionário|id funcionário|matrícula|matricola|
        id dipendente|personeelsnummer|medewerkernummer|numer pracownika|sicil no|الرقم الوظيفي|رقم الموظف|
        מספר עובד|社員番号|従業員番号|工号|员工编号|사번""",
    "full_name": """
        full name|name|display name|employee name|complete name|person|vollständiger name|ganzer name|
        vor und nachname|mitarbeiter|mitarbeitername|anzeigename|nom complet|nom et prénom|prénom et nom|
        nombre completo|nombre y apellidos|nombre|nome completo|nome|nome e cognome|volledige naam|naam|
        imię i nazwisko|ad soyad|الاسم الكامل|الاسم|שם מלא|שם|氏名|名前|姓名|이름|성명""",
    "given_name": """
        first name|given name|forename|firstname|vorname|prénom|nombre de pila|primeiro nome|voornaam|imię|
        ad|الاسم الأول|שם פרטי|名""",
    "family_name": """
        last name|family name|surname|lastname|nachname|familienname|zuname|nom de famille|nom|apellido|
        apellidos|sobrenome|apelido|cognome|achternaam|nazwisko|soyad|اسم العائلة|שם משפחה|姓""",
    "email": """
        email|e mail|mail|email address|e mail address|mail address|work email|business email|company email|
        email adresse|e mail adresse|mailadresse|dienstliche e mail|adresse e mail|adresse mail|courriel|
        adresse électronique|correo|correo electrónico|dirección de correo|endereço de e mail|
        indirizzo e mail|posta elettronica|e mailadres|adres e mail|e posta|البريد الإلكتروني|الايميل|
        דואר אלקטרוני|אימייל|メールアドレス|メール|邮箱|电子邮件|이메일""",
    "department": """
        department|dept|division|team|unit|business unit|org unit|group|abteilung|bereich|
        organisationseinheit|département|service|équipe|departamento|área|equipo|equipe|reparto|dipartimento|
        afdeling|dział|departman|bölüm|القسم|الإدارة|מחלקה|部署|部門|部门|부서""",
    "site": """
        site|location|office|office location|city|work location|branch|standort|niederlassung|büro|
        arbeitsort|lieu|lieu de travail|bureau|ville|sede|ubicación|oficina|ciudad|localização|escritório|
        cidade|ufficio|vestiging|locatie|kantoor|lokalizacja|biuro|konum|ofis|الموقع|المكتب|אתר|משרד|勤務地|
        拠点|地点|办公地点|근무지""",
    "manager_email": """
        manager email|manager e mail|manager|manager mail|supervisor|supervisor email|line manager|
        reports to|boss|vorgesetzter|vorgesetzte|e mail vorgesetzter|e mail des vorgesetzten|führungskraft|
        e mail führungskraft|e mail der führungskraft|responsable|e mail du responsable|e mail responsable|
        supérieur|jefe|correo del jefe|correo del responsable|gestor|e mail do gestor|e mail responsabile|
        responsabile|leidinggevende|przełożony|yönetici|بريد المدير|المدير|מנהל|上司|上司メール|经理|상사""",
    "language": """
        language|preferred language|lang|locale|correspondence language|sprache|bevorzugte sprache|
        korrespondenzsprache|langue|langue préférée|idioma|idioma preferido|língua|lingua|taal|język|dil|
        اللغة|שפה|言語|语言|언어""",
    # The column that a download of failed rows adds; it says something to people and nothing to the program.
    "reason": "reason|grund|raison|motivo|razón|reden|powód|neden|السبب|סיבה|理由",
}


def folded(heading: str) -> str:
    """A heading without case, accents, punctuation and remarks in brackets."""
    parts = unicodedata.normalize("NFKD", heading.casefold())
    parts = re.sub(r"[(\[].*?[)\]]", "", parts) or parts
    return "".join(sign for sign in parts if sign.isalnum())


KNOWN = {folded(name): field for field, names in NAMES.items() for name in names.split("|") if folded(name)}


def field_of(heading: str) -> str | None:
    """The field that a heading names exactly."""
    return KNOWN.get(folded(heading))


def near_field(heading: str) -> str | None:
    """The field whose name is nearest; None when two are as near.

    One wrong letter from 5 letters on, two from 9 on; in 4 letters only the order may be wrong.
    """
    word = folded(heading)
    most = 0 if len(word) < 4 else 1 if len(word) < 9 else 2
    for allowed in range(1, most + 1):
        near = (name for name in KNOWN if len(name) >= 4 and apart(word, name, allowed) <= allowed)
        fields = {KNOWN[name] for name in near if len(word) > 4 or sorted(name) == sorted(word)}
        if fields:
            return fields.pop() if len(fields) == 1 else None
    return None


def match(headings: Sequence[str], wished: Mapping[str, str] | None = None) -> dict[str, int]:
    """Field → column index. What the caller wished comes first, then exact names, then near ones; none twice."""
    found: dict[str, int] = {}
    for field, heading in (wished or {}).items():
        at = _column(headings, heading)
        if at is not None and field in NAMES:
            found[field] = at
    for find in (field_of, near_field):
        for at, heading in enumerate(headings):
            name = find(heading) if heading and at not in found.values() else None
            if name and name not in found:
                found[name] = at
    # "Name" beside "First name" is the family name.
    if "given_name" in found and "full_name" in found and "family_name" not in found and not wished:
        found["family_name"] = found.pop("full_name")
    return found


def _column(headings: Sequence[str], wanted: str) -> int | None:
    if wanted in headings:
        return headings.index(wanted)
    wanted = folded(wanted)
    return next((at for at, heading in enumerate(headings) if heading and folded(heading) == wanted), None)


def score(headings: Sequence[str]) -> int:
    """How much a row looks like the heading row: known names, twice for the address."""
    fields = {field_of(heading) for heading in headings if heading} - {None}
    return len(fields) + ("email" in fields)
