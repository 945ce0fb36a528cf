"""What one heading of a roster says: which field it names, in several languages and despite typing errors."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from batch.reading.cells import apart

# What a person on the roster has. The parts of a name are joined to one, in the order in which people say it.
NAME_PARTS = ("given_name", "middle_name", "name_particle", "family_name", "second_family_name")
FIELDS = ("employee_key", "full_name", "email", "department", "site", "manager_email", "language")
CHOICES = (*FIELDS[:1], "full_name", "full_name_reversed", *NAME_PARTS, *FIELDS[2:])
"""Everything that a column can be said to hold."""

# The names of each field. Those after the double bar say it less clearly: they count where no other column does.
NAMES: dict[str, str] = {
    "employee_key": """
        employee id|employee number|employee no|employee nr|employee key|employee code|emp id|emp no|emp number|
        staff id|staff number|staff no|person id|person number|personnel number|personnel no|personnel id|
        payroll number|payroll id|worker id|associate id|team member id|personalnummer|personal nr|pers nr|
        personalnr|persnr|personal id|personalkennung|pnr|p nr|stammnummer|mitarbeiternummer|mitarbeiter id|
        mitarbeiter nr|mitarbeiternr|mitarbeiterkennung|mitarb nr|ma nr|ma id|
        matricule|numéro employé|numéro d employé|n employé|numéro de matricule|numéro du salarié|id employé|
        id salarié|identifiant employé|número de empleado|n de empleado|nº empleado|num empleado|id empleado|
        id de empleado|código de empleado|código empleado|número de personal|legajo|número de legajo|
        número do funcionário|
        id funcionário|id do funcionário|número de funcionário|número de colaborador|número do colaborador|
        matrícula|nº de matrícula|matricola|numero di matricola|numero matricola|id dipendente|
        numero dipendente|codice dipendente|personeelsnummer|personeelsnr|medewerkernummer|medewerker id|
        werknemersnummer|numer pracownika|nr pracownika|nr prac|id pracownika|numer ewidencyjny|nr ewidencyjny|
        numer kadrowy|identyfikator pracownika|sicil no|sicil numarası|personel no|табельный номер|
        номер сотрудника|törzsszám|osobní číslo|anställningsnummer|medarbejdernummer|ansattnummer|
        الرقم الوظيفي|رقم الموظف|رقم الموظفة|رقم العامل|מספר עובד|社員番号|従業員番号|社員id|職員番号|社員コード|
        従業員コード|工号|员工编号|员工号|職工編號|사번|사원번호|직원번호
        || id|key|no|nr|number|nummer|num|numéro|número|numero|numer|n|uid|user id|userid|external id|badge|
        badge number|code|番号|编号|번호|رقم|الرقم""",
    "full_name": """
        full name|employee full name|complete name|legal full name|full legal name|vollständiger name|
        vollname|ganzer name|kompletter name|gesamtname|
        vor und nachname|vor und zuname|vorname und nachname|vorname nachname|
        vorname und name|vorname name|name und vorname|name vorname|nachname vorname|name surname|
        first and last name|first name and last name|first last name|last name first name|surname first name|
        surname given name|family name given name|last first|nom complet|nom et prénom|nom prénom|
        nom et prénoms|prénom et nom|prénom nom|nombre completo|nombre y apellidos|nombre y apellido|
        nombre apellidos|nombre apellido|apellidos y nombre|apellidos y nombres|apellidos nombre|
        apellidos nombres|apellido y nombre|apellido nombre|nombres y apellidos|nome completo|
        nome e cognome|nome cognome|cognome e nome|cognome nome|nominativo|nome e sobrenome|nome e apelido|
        volledige naam|voornaam en achternaam|voor en achternaam|achternaam voornaam|naam voornaam|
        imię i nazwisko|nazwisko i imię|imię nazwisko|nazwisko imię|pełne imię i nazwisko|ad soyad|
        adı soyadı|isim soyisim|фио|полное имя|имя и фамилия|фамилия имя|teljes név|celé jméno|jméno a příjmení|
        fullständigt namn|fulde navn|fullt navn|الاسم الكامل|الإسم الكامل|الاسم الثلاثي|الاسم الرباعي|
        اسم الموظف|اسم الموظفة|שם מלא|氏名|姓名|社員氏名|社員名|従業員名|お名前|성명|성함|이름 전체
        || display name|employee name|staff name|worker name|person name|anzeigename|mitarbeitername|
        name des mitarbeiters|name mitarbeiter|nom affiché|nom de l employé|nom du salarié|nom usuel|
        nombre del empleado|nombre empleado|nome do funcionário|nome do colaborador|nome exibido|
        nome dipendente|nome del dipendente|naam medewerker|weergavenaam|nazwa wyświetlana|preferred name|
        known as|preferred full name|cn|common name|表示名|显示名称""",
    "bare_name": """
        name|names|nombre|nombres|nom|nome|naam|navn|namn|név|jméno|imiona|имя|όνομα|ονοματεπώνυμο|nama|ism|
        名前|名|이름|الاسم|الإسم|اسم|שם""",
    "given_name": """
        first name|legal first name|given name|given names|first names|forename|forenames|christian name|vorname|vornamen|
        prénom|prénoms|prenom|nombre de pila|primer nombre|primeiro nome|nome próprio|nome de batismo|
        voornaam|voornamen|imię|pierwsze imię|adı|ad|keresztnév|utónév|křestní jméno|förnamn|fornavn|
        etunimi|όνομα μικρό|prenume|tên|الاسم الأول|الإسم الأول|שם פרטי|名 名前|下の名前
        || preferred first name|rufname|roepnaam|prénom usuel|nickname|goes by""",
    "middle_name": """
        middle name|middle names|second name|second given name|middle initial|mi|zweiter vorname|
        weitere vornamen|mittelname|deuxième prénom|second prénom|autres prénoms|segundo nombre|nome do meio|
        segundo nome|secondo nome|tweede voornaam|drugie imię|отчество|mellannamn|mellemnavn|
        اسم الأب|الاسم الأوسط|الاسم الثاني|ミドルネーム""",
    "name_particle": """
        tussenvoegsel|tussenvoegsels|voorvoegsel|voorvoegsels|tussenvoegsel achternaam|voorvoegsel achternaam|
        namenszusatz|namensvorsatz|vorsatzwort|vorsatzworte|name affix|surname prefix|last name prefix|
        family name prefix|particule|nobiliary particle""",
    "family_name": """
        last name|legal last name|last names|family name|family names|surname|surnames|nachname|nachnamen|
        familienname|zuname|
        nom de famille|nom d usage|nom patronymique|apellido|apellidos|primer apellido|apellido paterno|
        apellido 1|apellido1|1er apellido|1 apellido|sobrenome|apelido|apelidos|último nome|último sobrenome|
        nome de família|cognome|cognomi|achternaam|familienaam|geslachtsnaam|nazwisko|soyad|soyadı|soyisim|
        фамилия|vezetéknév|családnév|příjmení|priezvisko|efternamn|efternavn|etternavn|sukunimi|επώνυμο|
        nume de familie|họ|اسم العائلة|إسم العائلة|اللقب|الكنية|العائلة|الاسم الأخير|שם משפחה|姓|苗字|名字|성|姓氏
        || name 2""",
    "second_family_name": """
        segundo apellido|apellido materno|apellido 2|apellido2|2do apellido|2º apellido|2 apellido|
        second surname|second last name|second family name|segundo sobrenome|zweiter nachname|
        deuxième nom de famille|secondo cognome|drugie nazwisko""",
    "email": """
        email|e mail|mail|email address|e mail address|mail address|emailaddress|email id|e mail id|
        email adresse|e mail adresse|mailadresse|email adr|e mail adr|mail adr|
        elektronische post|adresse e mail|adresse email|adresse mail|
        adresse de messagerie|adresse courriel|courriel|mél|adresse électronique|adresse de courriel|correo|
        correo electrónico|correo e|e correo|dirección de correo|dirección de correo electrónico|
        dirección de e mail|dirección email|cuenta de correo|endereço de e mail|endereço de email|
        endereço eletrônico|endereço eletrónico|endereço de correio eletrónico|correio eletrónico|
        correio eletrônico|indirizzo e mail|indirizzo email|indirizzo mail|indirizzo di posta elettronica|
        posta elettronica|e mailadres|emailadres|mailadres|adres e mail|adres email|adres mailowy|poczta|
        poczta elektroniczna|adres poczty elektronicznej|e posta|eposta|e posta adresi|электронная почта|
        эл почта|почта|адрес электронной почты|e mail cím|email cím|e mailová adresa|e postadress|e post|
        البريد الإلكتروني|البريد الالكتروني|بريد|بريد إلكتروني|بريد الكتروني|عنوان البريد الإلكتروني|
        عنوان البريد|البريد|الايميل|الإيميل|ايميل|דואר אלקטרוני|אימייל|דוא ל|メールアドレス|メール|メアド|
        電子メール|eメール|eメールアドレス|メールid|邮箱|电子邮箱|电子邮件|邮件|邮箱地址|电子邮件地址|郵箱|電子郵件|이메일|
        이메일 주소|메일|메일 주소|전자우편
        || upn|user principal name|userprincipalname|login e mail|sign in name""",
    "department": """
        department|dept|department name|abteilung|abteilungsname|abteilungsbezeichnung|abt|abt name|département|dép|
        departamento|depto|dpto|departament|
        reparto|dipartimento|afdeling|dział|departman|bölüm|отдел|osztály|oddělení|avdelning|afdelingsnavn|
        القسم|الإدارة|قسم|مחלקה|מחלקה|部署|部門|所属|所属部署|部门|部門名|부서
        || division|team|unit|business unit|org unit|group|organisation unit|organizational unit|
        organizational unit name|supervisory organization|function|bereich|fachbereich|fachabteilung|hauptabteilung|
        geschäftsbereich|gruppe|referat|dezernat|ressort|organisationseinheit|orga einheit|org einheit|
        service|équipe|direction|área|equipo|sector|unidad|equipe|setor|unidade|area|ufficio|
        divisione|funzione|divisie|zespół|jednostka|課|チーム|本部|团队|팀|الفريق|الوحدة""",
    "site": """
        site|location|office location|work location|standort|niederlassung|arbeitsort|arbeitsstätte|dienstort|
        dienstsitz|einsatzort|betriebsstätte|lieu|
        lieu de travail|site de travail|ubicación|sede|centro de trabajo|lugar de trabajo|localização|
        local de trabalho|sede di lavoro|luogo di lavoro|vestiging|locatie|standplaats|lokalizacja|
        miejsce pracy|konum|место работы|الموقع|موقع العمل|مكان العمل|אתר|勤務地|拠点|事業所|地点|办公地点|工作地点|근무지
        || office|city|town|branch|büro|ort|stadt|filiale|werk|bureau|ville|agence|établissement|oficina|
        ciudad|sucursal|escritório|cidade|filial|città|filiale|kantoor|stad|plaats|biuro|miasto|oddział|ofis|
        город|офис|المكتب|الفرع|المدينة|משרד|オフィス|城市|分公司|사무실|지점""",
    "manager_email": "manager email",
    "language": """
        language|preferred language|lang|locale|correspondence language|communication language|sprache|sprachcode|
        sprachkürzel|
        bevorzugte sprache|korrespondenzsprache|kommunikationssprache|muttersprache|langue|langue préférée|
        langue de correspondance|idioma|idioma preferido|lengua|idioma de preferencia|língua|lingua|
        lingua preferita|taal|voorkeurstaal|correspondentietaal|język|preferowany język|dil|язык|nyelv|
        jazyk|språk|sprog|اللغة|لغة|اللغة المفضلة|שפה|言語|使用言語|语言|語言|언어""",
    # The column that a download of failed rows adds; it says something to people and nothing to the program.
    "reason": "reason|grund|begründung|raison|motivo|razón|reden|powód|neden|السبب|סיבה|理由",
}

# A heading that may mean a number or a name; what stands below it decides.
SOMEBODY = """
    team member|employee|employees|staff|staff member|
    worker|person|people|associate|mitarbeiter|mitarbeiterin|mitarbeitende|
    mitarbeitender|mitarbeitende r|beschäftigte|employé|salarié|collaborateur|empleado|empleada|trabajador|
    colaborador|funcionário|dipendente|collaboratore|medewerker|werknemer|pracownik|çalışan|сотрудник|الموظف|
    موظف|עובד|社員|従業員|员工|직원"""

# Whose address it is. Stems at the start of a word; signs anywhere, for scripts that set no spaces.
WORK = """work business company corporate corp office official professional employer org dienst geschaft firm beruf
    arbeits betrieb pro professionnel entreprise travail societe laboral trabajo empresa corporativ profesional
    institucional aziendal lavoro ufficio professional trabalho profissional zakelijk werk bedrijf kantoor sluzbow
    firmow praca sirket kurumsal рабоч корпоратив служебн munkahelyi firemn pracovn"""
WORK_SIGNS = "会社 社用 勤務先 業務 仕事 職場 法人 公司 工作 企业 회사 직장 업무 العمل عمل الرسمي الشركة المهني"
PRIVATE = """private privat privee priv prive persoonlijk personal personnel perso particulier particular privad
    pessoal prywat osobist home heim zuhause kisisel личн sukromn soukrom magan"""
PRIVATE_SIGNS = "個人 私用 プライベート 自宅 私人 个人 개인 الشخصي شخصي الخاص פרטי אישי"
MANAGER = """manager mgr supervisor superviser boss reportsto reports lead teamlead teamleit leiter leitung vorg vorgesetz
    fuhrungskraft fk chef hierarchique superieur responsable n1 jefe jefa gerente superior encargad gestor chefia
    chefe lider responsabile capo referente leidinggevend teamleider przelozon kierowni menedzer yonetici amir
    руководител начальник felettes vedouc nadrizen chefens"""
MANAGER_SIGNS = "上司 上長 マネージャ 管理者 経理 经理 主管 上级 上級 상사 관리자 팀장 المدير مدير المشرف الرئيس מנהל"
# People and things whose name or address is not the person's own.
OTHERS = """emergency notfall urgence emergencia emergenza nood awaryjn spouse ehe partner conjoint father mother
    vater mutter pere mere padre madre ojciec matka maiden birth geburts naissance jeune nacimiento nascita
    geboorte panien previous former fruher ancien alternate alternative alternativ secondary sekundar backup
    assistant assistenz sekretariat"""
# The last three: how a name is read, beside the name as it is written.
OTHERS_SIGNS = "緊急 配偶者 旧姓 紧急 비상 الطوارئ カナ かな ローマ字"
# Words that change nothing about what is meant.
FILLERS = """the of of's s a an der die das des de du del la le el los las do da dos di della dell van het l d employee
    employees worker staff mitarbeiter mitarbeiters mitarbeitende employe empleado funcionario colaborador dipendente
    medewerker pracownika legal official current primary main haupt principal principale required optional pflicht
    pflichtfeld obligatoire obligatorio obligatorio new neu text key the address adresse standard default default
    person persons"""


class Meaning(NamedTuple):
    """The field that a heading names. `rank` says how clearly, 0 to 4; `whose` is work, private, manager or nothing."""

    field: str
    rank: int
    whose: str = ""


def plain(text: str) -> str:
    """Without case and accents. The marks that make another sign of a Japanese or Korean one stay."""
    parts = unicodedata.normalize("NFKD", text.casefold().replace("ı", "i").replace("ł", "l"))
    kept = "".join(sign for sign in parts if not ("\u0300" <= sign <= "\u036f" or "\u064b" <= sign <= "\u065f"))
    return unicodedata.normalize("NFC", kept)


def folded(heading: str) -> str:
    """A heading without case, accents and punctuation."""
    return "".join(sign for sign in plain(heading) if sign.isalnum())


def words_of(heading: str) -> list[str]:
    return re.findall(r"[^\W_]+", plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)))


def _known() -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for field, names in NAMES.items():
        for rank, part in zip((3, 2), names.split("||"), strict=False):
            for name in part.split("|"):
                if folded(name):
                    found.setdefault(folded(name), (field, rank))
    for name in SOMEBODY.split("|"):
        found.setdefault(folded(name), ("somebody", 2))
    return found


KNOWN = _known()
_STEMS = {
    whose: (tuple(folded(stem) for stem in stems.split()), tuple(folded(sign) for sign in signs.split()))
    for whose, stems, signs in (
        ("manager", MANAGER, MANAGER_SIGNS),
        ("other", OTHERS, OTHERS_SIGNS),
        ("private", PRIVATE, PRIVATE_SIGNS),
        ("work", WORK, WORK_SIGNS),
    )
}
_FILLERS = frozenset(folded(word) for word in FILLERS.split())
# What a longer heading may hold as a whole phrase and still mean just that, such as "Legal Name - First Name".
_PHRASES = ("given_name", "family_name", "middle_name", "second_family_name", "full_name", "email", "employee_key")


def meaning(heading: str) -> Meaning | None:
    """What a heading says, or None; typing errors are forgiven."""
    bare = _without_remarks(heading)
    found = _said(heading)
    return found if found or _whose(words_of(heading), folded(heading)) in ("manager", "other") else _near(folded(bare))


def _without_remarks(heading: str) -> str:
    bare = re.sub(r"[(\[（【].*?[)\]）】]", " ", heading)
    return bare if folded(bare) else heading


@lru_cache(maxsize=2_000)
def _said(heading: str) -> Meaning | None:
    """What a heading says word for word. Remarks in brackets count only for whose it is."""
    bare = _without_remarks(heading)
    exact = _exact(folded(bare)) or _exact(folded(heading))
    words, whole = words_of(heading), folded(heading)
    whose = _whose(words, whole)
    if exact and exact.field not in ("email", "bare_name", "somebody"):
        # "Personal-Nr." and "Geschäftsbereich" are what they are, whatever their parts mean elsewhere.
        return exact if whose not in ("manager", "other") or folded(bare) == whole else None
    if whose == "manager":
        return _manager(words, whole)
    if whose == "other":
        return None
    found = exact or _rest(words_of(bare), whose) or _rest(words, whose) or _phrase(words_of(bare))
    # "Company name" is what is left of nobody's name; only an address is still one when it is of work or private.
    if found is None or (found is not exact and whose and found.field != "email"):
        return None
    if found.field == "email":
        # "Personal" is private of an address, and the staff of a number.
        return Meaning("email", {"work": 4, "private": 0}.get(whose, found.rank), whose)
    return found if whose != "private" else None


def _exact(word: str) -> Meaning | None:
    known = KNOWN.get(word)
    return Meaning(*known) if known else None


def _whose(words: list[str], whole: str) -> str:
    # "E-Mail-Vorgesetzter" in one word, or in a script without spaces, has the stem in its middle.
    for whose, (stems, signs) in _STEMS.items():
        if any(word.startswith(stem) and (len(stem) > 3 or word == stem) for word in words for stem in stems):
            return whose
        if any(sign in whole for sign in signs):
            return whose
        if whose == "manager" and any(stem in word for word in words for stem in stems if len(stem) > 5):
            return whose
        if any(f"mail{stem}" in whole or f"{stem}mail" in whole for stem in stems if len(stem) > 3):
            return whose
    return ""


MAIL = re.compile(r"mail|courriel|correo|correio|posta|poczt|почт|البريد|بريد|ايميل|メール|メアド|邮|郵|메일|דואר|mel$")
NO_ADDRESS = re.compile(
    r"(^|[^a-z])(id|no|nr|number|nummer|phone|tel|telefon|title|titel|level|code|date|role)($|[^a-z])"
)


def _manager(words: list[str], whole: str) -> Meaning | None:
    """A manager's address; without a word for mail it may be their name, which what stands below it tells."""
    if MAIL.search(whole):
        return Meaning("manager_email", 3, "manager")
    return None if NO_ADDRESS.search(" ".join(words)) else Meaning("manager_email", 1, "manager")


def _rest(words: list[str], whose: str) -> Meaning | None:
    """What is left of a heading without the words that say whose it is, and without those that say nothing."""
    kept = []
    for word in words:
        if word in _FILLERS:
            continue
        stems, signs = _STEMS.get(whose, ((), ()))
        for sign in signs:
            word = word.replace(sign, "")
        stem = next((stem for stem in stems if word.startswith(stem)), None)
        # "Dienstmail" is one word, "dienstliche Mail" two.
        tail = re.search(r"(e?mail\w*|post\w*)$", word) if stem else None
        word = tail[0] if tail and stem and tail.start() > 0 else "" if stem else word
        if word:
            kept.append(word)
    joined = "".join(kept)
    found = _exact(joined) or _exact("".join(word for word in words if word not in _FILLERS))
    return found._replace(rank=min(found.rank, 2)) if found and joined else None


def _phrase(words: list[str]) -> Meaning | None:
    """The one field whose name stands in a longer heading word for word; None when several do."""
    found: dict[str, int] = {}
    for start in range(len(words)):
        for end in range(start + 1, min(len(words), start + 4) + 1):
            known = KNOWN.get("".join(words[start:end]))
            if known and known[0] in _PHRASES and known[1] == 3:
                found[known[0]] = max(found.get(known[0], 0), end - start)
    if not found:
        return None
    if "email" in found:
        return Meaning("email", 2)
    if "given_name" in found and "family_name" in found:
        return Meaning("full_name", 2)
    return Meaning(next(iter(found)), 2) if len(found) == 1 else None


def _near(word: str) -> Meaning | None:
    """The field whose name is nearest; None when two are as near.

    One wrong letter from 5 letters on, two from 9 on; in 4 letters only the order may be wrong.
    """
    most = 0 if len(word) < 4 else 1 if len(word) < 9 else 2
    for allowed in range(1, most + 1):
        near = (name for name in KNOWN if len(name) >= 4 and apart(word, name, allowed) <= allowed)
        fields = {KNOWN[name][0] for name in near if len(word) > 4 or sorted(name) == sorted(word)}
        if fields:
            return Meaning(fields.pop(), 1) if len(fields) == 1 else None
    return None


def reversed_name(heading: str) -> bool:
    """The heading says that the last name stands before the first: "Name, Vorname"."""
    parts = [KNOWN.get(word, ("", 0))[0] for word in words_of(heading)]
    if "given_name" not in parts:
        # "Apellidos y nombre": what is just called name is the first one there.
        parts = ["given_name" if field == "bare_name" else field for field in parts]
    given = parts.index("given_name") if "given_name" in parts else None
    family = next((at for at, field in enumerate(parts) if field in ("family_name", "bare_name")), None)
    return folded(heading) in _LAST_FIRST or (given is not None and family is not None and family < given)


_LAST_FIRST = frozenset(
    folded(name) for name in ("last name first name", "last first", "family name given name", "surname first name",
                              "surname given name", "nom de famille prénom")
)  # fmt: skip


def shape(heads: Sequence[str]) -> str:
    """Stands for a set of headings, in whatever order, without the one that a download of failed rows adds."""
    kept = sorted({folded(heading) for heading in heads if heading and not is_reason(heading)})
    return sha256("\n".join(kept).encode()).hexdigest()[:32]


def is_reason(heading: str) -> bool:
    return KNOWN.get(folded(heading), ("", 0))[0] == "reason"


def score(headings: Sequence[str]) -> int:
    """How much a row looks like the heading row: known names, twice for the address."""
    fields = {one.field for one in (_said(heading) for heading in headings if heading) if one is not None}
    return len(fields) + ("email" in fields)
